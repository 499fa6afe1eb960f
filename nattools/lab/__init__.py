"""Networks described as scenario files, run in the simulator or as network namespaces."""
