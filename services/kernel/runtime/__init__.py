"""The chassis every service stands on: settings, process life, RPC, bus, database, telemetry, health. No policy."""
