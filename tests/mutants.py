#!/usr/bin/env python3
"""Plants bugs one at a time and shows the named test that turns red for each.

Works on a copy of the tree, so the sources are never touched. A mutant that no longer applies, or
that its test does not notice, is a failure. The last line is "N passed, M failed".
"""
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"

# what is planted, file, right, wrong, test program, test
MUTANTS = [
    ("`except` is ignored by the evaluator", "src/policy/match.cc",
     "return std::none_of(peer.ip_block->except.begin()", "return true || std::none_of(peer.ip_block->except.begin()",
     "policy_test", "Np.AnExceptionIsOfItsOwnPeerOnly"),
    ("`except` is ignored by the compiler", "src/policy/cidr_partition.cc",
     "for (const Cidr& cidr : peer.except) changes[cidr].leave.push_back(peer.id);", "",
     "policy_test", "Np.AnExceptionIsOfItsOwnPeerOnly"),
    ("endPort is ignored", "src/policy/lower.cc",
     "port.end_port.value_or(port.port->number)", "port.port->number",
     "policy_test", "Np.EndPortIsInclusive"),
    ("NotIn does not match an absent key", "src/k8s/selector.cc",
     "return !listed;", "return present && !listed;",
     "policy_test", "Np.NotInMatchesWhereTheKeyIsAbsent"),
    ("a named port ignores its protocol", "src/policy/match.cc",
     "p.protocol == protocol && p.port == port", "(p.protocol == protocol || true) && p.port == port",
     "policy_test", "Np.ANamedPortMustHaveTheProtocolAndExist"),
    ("a namespaceSelector is ignored", "src/policy/match.cc",
     "if (!k8s::matches(*peer.namespace_selector, scene.world->namespace_labels(pod->ns)))",
     "if (false)",
     "policy_test", "Conformance.CasesAsWritten"),
    ("a policy selects pods of every namespace", "src/policy/match.cc",
     "} else if (pod->ns != policy_ns) {", "} else if (false && pod->ns != policy_ns) {",
     "policy_test", "Np.APodSelectorAloneMeansTheOwnNamespace"),
    ("egress is skipped in the kernel", "src/gate/bpf/judge.h",
     "if (from->endpoint && from->egress_set)", "if (0 && from->egress_set)",
     "gate_test", "*Decision.ToTheNodeTheEgressPolicyDecides*"),
    ("ingress is skipped in the kernel", "src/gate/bpf/judge.h",
     "if (to->endpoint && to->ingress_set && !j->local)", "if (0 && to->ingress_set)",
     "gate_test", "*Decision.DeniesByPolicyWithoutMakingAnEntry*"),
    ("the generation is not bumped", "src/gate/kernel_gate.cc",
     "const uint64_t generation = before + 1;", "const uint64_t generation = before;",
     "gate_test", "KernelGate.*"),
    ("a stale connection is not judged again", "src/gate/bpf/connections.h",
     "allow = sp_judge(env, &from, &to, &j);",
     "allow = (int)(before & 1); (void)sp_judge(env, &from, &to, &j);",
     "gate_test", "*Decision.StaleConnectionsAreJudgedAgain*"),
    ("spoofed sources pass", "src/gate/bpf/source_guard.h",
     "if (source->endpoint == in_endpoint) return 0;", "return 0;",
     "gate_test", "*Decision.SpoofedSourcesAreDropped*"),
    ("IPv6 is left open", "src/gate/bpf/decision.h",
     "if (sp_generation(env) == 0) return sp_drop(env, f, SP_DENY_NOT_PROGRAMMED);",
     "if (f->at.family == SP_V6) return 1;\n"
     "  if (sp_generation(env) == 0) return sp_drop(env, f, SP_DENY_NOT_PROGRAMMED);",
     "gate_test", "*Decision.DeniesByPolicyWithoutMakingAnEntry*"),
    ("an unknown pod address is open", "src/gate/bpf/source_guard.h",
     "if (!source->endpoint && source->ranges) return SP_DENY_SPOOFED;", "",
     "gate_test", "*Decision.UnknownPodAddressesAreDenied*:*Decision.SpoofedSourcesAreDropped*"),
    ("a ClientHello is not asked for again until it is answered", "src/gate/bpf/tls.h",
     "if (!sp_is_handshake(&record, 1)) return sp_plaintext(env, f, c);",
     "if (!(flags & SP_TLS_HELLO) && !sp_is_handshake(&record, 1)) return sp_plaintext(env, f, c);",
     "gate_test", "*TlsAttack.AClientHelloThatTheResponderDidNotTake*"),
    ("any SYN says where the stream begins", "src/gate/bpf/tls.h",
     "} else if (!(flags & SP_CONFIRMED)) {", "} else if (0) {",
     "gate_test", "TlsProperty.NoPlaintextReachesTheApplication"),
    ("a demand of TLS spares live plaintext", "src/gate/bpf/connections.h",
     "if (allow && j.tls_policy && (*(volatile __u32*)&c->flags & SP_TLS_PLAINTEXT)) {", "if (0) {",
     "gate_test", "*TlsDecision.SwitchingItOnCutsPlaintextAndSparesTls*"),
    ("a responder may speak first", "src/gate/bpf/tls.h",
     "if (!(flags & SP_TLS_HELLO)) return sp_plaintext(env, f, c);", "",
     "gate_test", "*TlsDecision.AResponderThatSpeaksFirstIsPlaintext*"),
    ("a port's own row about TLS is ignored", "src/gate/bpf/judge.h",
     "policy = sp_find_tls(env, key | (port & 0xffff));", "policy = 0;",
     "gate_test", "*TlsDecision.OnlyTheDemandedPortsOfTcp*"),
    ("the state of another version is taken over", "src/standalone/state.cc",
     "if (state.version != kStateVersion)", "if (false)",
     "standalone_test", "State.ToldApartFromNoStateAndFromOtherVersions"),
]


def build(target):
    return subprocess.run(["ninja", "-C", str(WORK / "tree" / "build" / "debug-asan"), target], capture_output=True,
                          text=True).returncode


def test(program, name):
    done = subprocess.run([str(WORK / "tree" / "build" / "debug-asan" / program), f"--gtest_filter={name}"], cwd=WORK / "tree",
                          capture_output=True, text=True, timeout=600)
    ran = "[==========] 0 tests" not in done.stdout and "Running 0 tests" not in done.stdout
    return ran, done.returncode


def main():
    tree = WORK / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    subprocess.run(["cmake", "--preset", "debug-asan"], cwd=tree,
                   check=True, stdout=subprocess.DEVNULL)
    programs = sorted({m[4] for m in MUTANTS})
    for program in programs:
        print(f"mutants: building {program}", flush=True)
        if build(program) != 0:
            sys.exit(f"{program} does not build without a mutant")
    passed = failed = 0
    for what, file, right, wrong, program, name in MUTANTS:
        start = time.monotonic()
        path = tree / file
        original = path.read_text()
        if original.count(right) != 1:
            verdict = f"does not apply: the line stands {original.count(right)} times in {file}"
        else:
            ran, code = test(program, name)
            if not ran or code != 0:
                verdict = f"{name} is not green without the mutant"
            else:
                path.write_text(original.replace(right, wrong))
                built = build(program)
                verdict = None
                if built != 0:
                    verdict = "does not compile"
                elif test(program, name)[1] == 0:
                    verdict = f"SURVIVED {program} {name}"
                path.write_text(original)
                build(program)
        if verdict is None:
            passed += 1
            print(f"ok      {what}: red in {program} {name} ({time.monotonic() - start:.0f} s)", flush=True)
        else:
            failed += 1
            print(f"FAILED  {what}: {verdict}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
