"""What the end-to-end suite and the demo share: keys and tokens made on the spot, and real parts started and stopped."""
