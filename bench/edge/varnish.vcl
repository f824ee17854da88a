vcl 4.1;
# {…} is filled in by bench/edge.py.
backend default { .host = "127.0.0.1"; .port = "{origin}"; }
sub vcl_backend_response { set beresp.ttl = 1d; }
