"""What is fuzzed, a file a target: its inputs, and a call that ends in an outcome or a finding."""
