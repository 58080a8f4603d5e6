"""HTTP: AuthZEN, management, log reading; errors become problem+json in one place."""
