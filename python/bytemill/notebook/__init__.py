"""What a notebook shows: bars that stay in one output, and small pieces of HTML."""
