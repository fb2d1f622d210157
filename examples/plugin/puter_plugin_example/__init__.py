"""Two plugins: ``today``, a middleware, and ``dice``, which gives chats a tool."""
