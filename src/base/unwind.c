/*
 * The two functions that the compiler calls where an exception of C++ comes through a function with a guard
 * (-fexceptions): they pass it on to the unwinder of the program. Who has an exception has that already;
 * linked normally, libgcc_s would be loaded at the start of each program, also of those in C, which never
 * need it, and lengthen that start by a fifth. A copy of the unwinder within the library would not know the
 * code that the program itself made and registered while it ran.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * As unwind.h has them, but hidden: nobody else shall take them for the unwinder. Used, though no source calls
 * them: optimized as a whole, the library would else lose them.
 */
struct _Unwind_Exception;
struct _Unwind_Context;
typedef void resume_function(struct _Unwind_Exception *exception);
typedef int personality_function(int version, int actions, uint64_t class,
                                 struct _Unwind_Exception *exception, struct _Unwind_Context *context);
resume_function _Unwind_Resume __attribute__((used));
personality_function __gcc_personality_v0 __attribute__((used));

/* The unwinder's function called name, the one that would be found if the library were linked with it. */
static void *unwinder(const char *name)
{
    void *function = dlsym(RTLD_DEFAULT, name), *library;

    /* Not among the program's: what raised this came with a plug-in, or is the end of a thread. */
    if (function == NULL && (library = dlopen("libgcc_s.so.1", RTLD_LAZY)) != NULL)
        function = dlsym(library, name);
    if (function == NULL)
        abort();
    return function;
}

/* The unwinder goes up from here, over this frame too, in which there is nothing to clean up. */
void _Unwind_Resume(struct _Unwind_Exception *exception)
{
    ((resume_function *)unwinder("_Unwind_Resume"))(exception);
    abort();
}

int __gcc_personality_v0(int version, int actions, uint64_t class, struct _Unwind_Exception *exception,
                         struct _Unwind_Context *context)
{
    personality_function *personality = (personality_function *)unwinder("__gcc_personality_v0");

    return personality(version, actions, class, exception, context);
}
