"""Arms, outcomes and reliability: tables in, estimates out."""
