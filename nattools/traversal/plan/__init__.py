"""The plan of a punch: from both sides' behaviour to steps with their odds. Pure."""
