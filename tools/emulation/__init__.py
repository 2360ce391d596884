"""The micro-kernels on processors that this machine is not, executed by emulators."""
