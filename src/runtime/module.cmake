# The shim as a program of its own, for tests: a test binary cannot run itself as one.
add_executable(runtime_test_shim "${CMAKE_CURRENT_SOURCE_DIR}/src/runtime/testdata/test_shim_main.cc")
target_link_libraries(runtime_test_shim PRIVATE sp_runtime)
cmake_language(DEFER CALL add_dependencies runtime_test runtime_test_shim)
