"""Two machines connected without a third one: `nattools pwnat`."""
