"""The pipeline does its work."""

import json
import re

from node import Unexpected, wait_until
from step import CLIENT, chat, expect, flow_line, pod_of, python, rule_of, step

MAIL, CARD = "joe@example.com", "4111 1111 1111 1111"
# Facts about the support desk are in the vector database, with a phone number and an address in
# them: answers to these repeat one of the two, whatever words the small model finds.
QUESTIONS = ["Which e-mail address does the support desk have?",
             "What is the support desk's e-mail address?",
             "Tell me the support contact: e-mail address and phone number.",
             "Please give me the phone number of the support desk.",
             "Who can help me, and at which e-mail address?"]
RAW = re.compile(r"help@example\.com|555-0199|joe@example\.com|4111 1111")


@step("The pipeline starts",
      "all pods become ready: gateway, sanitizer, response filter, model server, cache,\n"
      "vector database, collector, client, attacker, and the cluster's DNS")
def start(node):
    node.wait_ready(120)
    pods = node.pods()
    expect(len(pods) == 10, f"{len(pods)} pods instead of 10")
    return node.run("get", "pods").stdout.rstrip()


def answer_and_record(node, question):
    """Asks, checks that nothing personal is in the answer or the record of it; gives all three."""
    pieces, summary = chat(node, question)
    expect(not RAW.search(summary["text"]), f"personal data in the answer: {summary['text']}")
    collector, _ = node.pod("logging", "collector")

    def record():
        lines = node.execute(collector, "tail", "-n", "1", "/records/records.jsonl",
                             check=False).stdout
        last = json.loads(lines) if lines else {}
        return last if last.get("answer") == summary["text"] else None
    kept = wait_until("the collector has the record", record, 5)
    expect(not RAW.search(json.dumps(kept)), f"personal data in the record: {kept}")
    return pieces, summary, kept


@step("A chat through the whole pipeline: personal data in the question",
      f"the question holds {MAIL} and a card number; the model sees neither")
def masked_question(node):
    pieces, summary, kept = answer_and_record(
        node, f"I am {MAIL} and paid with {CARD}. Can I return a parcel?")
    expect(summary["headers"].get("x-masked") == "CARD=1 EMAIL=1",
           f"masked in the prompt: {summary['headers'].get('x-masked')}")
    expect("[EMAIL]" in kept["prompt"][-1] and "[CARD]" in kept["prompt"][-1], f"{kept['prompt']}")
    return (f"the model was asked: {kept['prompt'][-1]}\n"
            f"it answered: {summary['text']}\n"
            f"in {len(pieces)} pieces, first after {pieces[0]['t']:.2f} s; context from the vector "
            f"database: {summary['headers']['x-context']}")


@step("A chat through the whole pipeline: personal data in the streamed answer",
      "the vector database knows the support desk's address and phone number; where the real\n"
      "model says them, they are masked while the answer streams")
def masked_answer(node):
    for question in QUESTIONS:
        pieces, summary, kept = answer_and_record(node, question)
        if kept["masked_in_answer"]:
            expect(len({p["t"] for p in pieces}) > 1, "the answer came in one piece")
            return (f"asked: {question}\nthe client read: {summary['text']}\n"
                    f"in {len(pieces)} pieces from {pieces[0]['t']:.2f} s to {pieces[-1]['t']:.2f} s; "
                    f"masked while it streamed: {kept['masked_in_answer']}")
    raise Unexpected("no answer had personal data to mask")


@step("The same question again",
      "the answer comes from the cache (Redis)")
def cached_chat(node):
    question = "When is the support desk open?"
    _, first = chat(node, question)
    pieces, second = chat(node, question)
    expect(second["headers"].get("x-cache") == "hit", f"headers: {second['headers']}")
    expect(second["text"] == first["text"], "the cached answer differs")
    return f"{second['headers']['x-cache']} after {pieces[0]['t']:.2f} s: {second['text']}"


@step("Each hop of the pipeline is judged",
      "every connection that chat made was allowed by a named rule on both sides")
def hops(node):
    chat(node, "What is a sally port?", "--temperature", "0.5", "--max-tokens", "16")
    chain = [(CLIENT, "api-gateway/gateway-"), ("api-gateway/gateway-", "privacy/prompt-sanitizer-"),
             ("privacy/prompt-sanitizer-", "inference/model-server-"),
             ("privacy/prompt-sanitizer-", "data/redis-0"),
             ("privacy/prompt-sanitizer-", "data/vector-db-0"),
             ("privacy/prompt-sanitizer-", "privacy/response-filter-"),
             ("privacy/response-filter-", "inference/model-server-"),
             ("privacy/response-filter-", "logging/collector-")]

    def complete():
        seen = {}
        for flow in node.flows("--verdict", "allowed", "--since", "2m"):
            if flow["kind"] != "new" or flow["protocol"] != "TCP":
                continue
            for source, target in chain:
                if pod_of(flow["source"]).startswith(source) and \
                        pod_of(flow["destination"]).startswith(target):
                    seen[source, target] = flow
        return seen if len(seen) == len(chain) else None
    seen = wait_until("a flow event for each hop", complete, 5)
    lines = []
    for pair in chain:
        flow = seen[pair]
        for direction in ("egress", "ingress"):
            expect(flow[direction]["verdict"] == "allow" and flow[direction]["policy"],
                   f"{direction} is not allowed by a policy: {flow_line(flow)}")
        port = flow["destination"]["port"]
        lines.append(f"{pair[0].rstrip('-')} -> {pair[1].rstrip('-')}:{port}\n"
                     f"  {rule_of(flow, 'egress')}; {rule_of(flow, 'ingress')}")
    return "\n".join(lines)


@step("The gateway asks the model server directly",
      "/v1/completions passes by rule 0 of inference/inference-ingress, and a phone number comes\n"
      "back unmasked: at L4 the gateway may go past the sanitizer, which gate 2 will close")
def direct_completion(node):
    done = node.execute(CLIENT, *python("chat.py", "--json", "--completions", "--max-tokens", "24",
                                        "Call 212-555-0199. Call 212-555-0199. Call 212-555-0199. Call"))
    summary = json.loads(done.stdout.splitlines()[-1])
    expect("x-masked" not in summary["headers"], "the sanitizer was asked")
    expect("555-0199" in summary["text"], f"the number was not repeated: {summary['text']!r}")

    def flow():
        for f in node.flows("--from", "api-gateway/", "--to", "inference/", "--since", "20s"):
            if pod_of(f["destination"]).startswith("inference/model-server"):
                return f
        return None
    found = wait_until("the flow from gateway to model server", flow, 5)
    expect(rule_of(found, "ingress") == "inference/inference-ingress rule 0", flow_line(found))
    return f"answer: {summary['text'].strip()}\n{flow_line(found)}"


STEPS = [start, masked_question, masked_answer, cached_chat, hops, direct_completion]
