"""Other servers, over HTTP: what the service and its auditors ask of witnesses, time-stamp authorities and logs."""
