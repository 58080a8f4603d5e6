"""One function per verb: joins the pure core and storage, and is given `now`."""
