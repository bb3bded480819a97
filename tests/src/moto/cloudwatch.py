"""CloudWatch's newest protocol (Smithy RPC v2, CBOR), which its SDK for Rust speaks alone and moto does not know:
each request is handed on to moto by boto3, and its answer handed back. Arguments: own port, moto's port."""

import gzip
import sys
from datetime import timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import cbor2
from botocore import xform_name

PORT, MOTO = (int(argument) for argument in sys.argv[1:])
CLIENT = boto3.client(
    "cloudwatch",
    endpoint_url=f"http://127.0.0.1:{MOTO}",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)


class Bridge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        call = getattr(CLIENT, xform_name(self.path.rsplit("/", 1)[1]))
        answer = call(**cbor2.loads(body))
        del answer["ResponseMetadata"]
        answer = cbor2.dumps(answer, datetime_as_timestamp=True, timezone=timezone.utc)
        self.send_response(200)
        self.send_header("smithy-protocol", "rpc-v2-cbor")
        self.send_header("content-type", "application/cbor")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


ThreadingHTTPServer(("127.0.0.1", PORT), Bridge).serve_forever()
