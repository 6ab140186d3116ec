"""Not Grafana: answers /api/health on port 3000 and nothing else."""

import http.server


class Health(http.server.BaseHTTPRequestHandler):
    """One answer."""

    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
        self.wfile.write(b'{"database": "ok", "version": "stand-in"}')

    def do_HEAD(self):
        self.do_GET()


http.server.ThreadingHTTPServer(("", 3000), Health).serve_forever()
