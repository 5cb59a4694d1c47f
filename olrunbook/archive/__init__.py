"""Many runs: where they lie, the chain that names them, and questions to them."""
