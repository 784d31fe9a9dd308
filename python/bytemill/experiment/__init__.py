"""Many runs: sweeps and ladders."""
