"""The AWS API: moto behind a filter, with what it lacks for a release put right."""
