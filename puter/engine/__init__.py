"""How a call is carried out: effects, the pipeline from request to reply, limits, credentials."""
