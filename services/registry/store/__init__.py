"""The registry's tables and the SQL over them, on SQLite and PostgreSQL."""
