"""The public kernels: losses of hidden states and heads."""
