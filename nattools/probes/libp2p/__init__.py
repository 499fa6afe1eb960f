"""Questions to libp2p peers: who they are and from where they see us, whether they can dial us, whether they
relay. They record what they see, and conclude nothing."""
