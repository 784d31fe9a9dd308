"""Many runs from one file of settings, and their results side by side."""
