"""Networks drawn as scenarios, and run as a simulation or as network namespaces."""
