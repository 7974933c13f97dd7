"""Reports on a document for other systems (ETSI TS 119 102-2) and for people (HTML, PDF). Pure functions of a report."""
