#include "base/log.h"
int main() { return 0; }
