"""Facts about an export, the tables that show them, and the bound on its size."""
