"""What goes wrong between the program and a vendor, and in the program's own life."""
