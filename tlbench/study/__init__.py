"""A user study as a web page: who sees which clip (plan), the clips (videos), the answers (store), the page (site)."""
