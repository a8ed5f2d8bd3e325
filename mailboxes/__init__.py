"""What is kept: requests, letters, boxes, users and records, in a store that says yes only after a synced commit."""
