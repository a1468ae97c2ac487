# The conformance cases are compressed; only the tests read them.
cmake_language(DEFER CALL target_link_libraries policy_test PRIVATE z)
