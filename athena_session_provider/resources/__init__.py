"""What a program writes: resources and their arguments."""
