"""What the verbs of the command line do with a user's corpus: read, call the rooms, write, say what came out."""
