"""The AWS API: moto behind a gate, with what it lacks for a release put right."""
