"""What the end-to-end suite and the demo share: keys and tokens made on the spot, real parts started and stopped."""
