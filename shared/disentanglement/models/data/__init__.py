"""What a training sees: images on the device, and the batches of each iteration."""
