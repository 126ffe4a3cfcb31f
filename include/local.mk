include_HEADERS += include/sharedmem.h
