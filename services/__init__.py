"""The services of Kyso and the kernel that they share."""
