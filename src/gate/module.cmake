# The program, and its variant for BPF_PROG_TEST_RUN (linked only where something refers to it).
sallyport_bpf_object(sp_gate "${dir}/bpf/gate.bpf.c" sallyport_gate_object)
sallyport_bpf_object(sp_gate "${dir}/bpf/gate.bpf.c" sallyport_gate_test_object
  DEFINITIONS SP_TEST_RUN)
