"""The local network: multicast DNS, beacons of machines that run nattools, echo requests to neighbours."""
