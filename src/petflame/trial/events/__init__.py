"""The comparison of the arms on what happened later: few events, exact and penalised methods."""
