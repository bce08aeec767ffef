/* SPDX-License-Identifier: MIT */
/*
 * Functions that can run anywhere. One definition gives the plain function, a typed
 * starter for every executor, and a typed await:
 *
 *     HK_FN(double, do_math, (long, start), (long, end))
 *     {
 *         ...
 *     }
 *
 *     double a = do_math(0, 100);                          here and now
 *     hk_future *f = do_math_on(hk_threads(), 0, 100);     there, meanwhile
 *     double b;
 *     int rc = do_math_await(f, &b);
 *     hk_future_free(f);
 *
 * What a function of HK_FN takes and returns may cross to another process, so it is a
 * value: a number, an enum, a struct of those, or
 *
 *     hk_bytes, hk_str   what they point at is copied for the job and is the job's, who
 *                        may read it until it returns. As a result it was allocated
 *                        with malloc: who calls the plain function frees it; of a job
 *                        it lies in the future, and is valid as long as that.
 *
 * Other pointers are refused by the compiler, and so is what is aligned to more than 16
 * bytes. (Pointers inside of structs are not seen by it: in another process they point
 * nowhere.) HK_FN_LOCAL takes pointers, too, and its starter wants an executor of this
 * process: copy_on(hk_in_process(hk_threads()), p).
 *
 * A result of type `hk_rc` (an int) is the job's own: >= 0, or the error with which the
 * job fails; then the await has no `out`, as with void. Other functions fail their job
 * by hk_job_fail.
 *
 * Up to 8 arguments; a function without is HK_FN(void, tick). In a header,
 * HK_FN_DECL(double, do_math, (long, start), (long, end)); declares it for other files
 * (HK_FN_LOCAL_DECL for the other kind). Names that begin like the function's belong to
 * it: do_math_on, do_math_await, do_math_fn; and, not for other files, for arrays (see
 * <hocket/map.h>) do_math_map and struct do_math_args. By its name a worker process
 * finds the function: two of one name in a program or library panic at its start, in
 * C++ also when they lie in different namespaces.
 *
 * A library that is unloaded takes its functions and their names along: none of its
 * jobs may be queued, running or, with its future, be asked for its name then.
 */
#ifndef HOCKET_FN_H
#define HOCKET_FN_H

#include <hocket/map.h>

#ifdef __cplusplus
#include <cstddef>
#include <cstdlib>
#endif

HK_BEGIN_DECLS

/* A result that is the job's: >= 0, or an error. */
typedef int hk_rc;

/*
 * Fails the job that the caller runs in, whatever its function returns; the first call
 * counts. For functions of HK_FN; elsewhere it does nothing. `error` < 0, else panic.
 * Never blocks. On the task or thread that runs the function.
 */
HK_API void hk_job_fail(int error);

/* An executor of this process, by type: what the starters of HK_FN_LOCAL want. */
typedef struct hk_local_executor {
    hk_executor *executor;
} hk_local_executor;

/* Panics when its jobs run in other processes. */
HK_API hk_local_executor hk_in_process(hk_executor *executor);

/* ---- what the macros make; programs need none of it ---- */

typedef enum hk_field_kind {
    HK_FIELD_PLAIN, /* `size` bytes */
    HK_FIELD_BYTES, /* an hk_bytes */
    HK_FIELD_STR,   /* an hk_str */
    HK_FIELD_VOID,  /* a result that is none */
    HK_FIELD_RC,    /* a result that is an hk_rc */
} hk_field_kind;

/* An argument, or the result, of a function. */
typedef struct hk_field {
    uint32_t offset; /* in the struct of the arguments */
    uint32_t size;
    uint32_t kind; /* hk_field_kind */
} hk_field;

enum { HK_FN_ARGS_MAX = 8 };

/* What the library knows about a function of HK_FN. */
typedef struct hk_fn {
    const char *name;
    /* Calls it with a struct of its arguments, and room for what it returns. */
    void (*call)(void *args, void *result);
    uint32_t args_size;
    uint32_t field_count;
    uint32_t is_local; /* takes pointers: stays in this process */
    hk_field result;
    hk_field fields[HK_FN_ARGS_MAX];
    struct hk_fn *hki_next; /* in the registry */
    const char *hki_module; /* the program or library that defines it; likewise */
    uint64_t reserved[2];
} hk_fn;

/*
 * Makes the function known under its name; the macros call it before main, or when a
 * library is loaded. Two functions of one name in one program or library panic.
 */
HK_API void hk_fn_register(hk_fn *fn);
/* Of a library that is unloaded. */
HK_API void hk_fn_unregister(hk_fn *fn);

/* As hk_submit, with a struct of the arguments. */
HK_API hk_future *hk_fn_start(hk_executor *on, const hk_fn *fn, const void *args);

/* As hk_future_await, with room for the result; NULL if it is none, or not wanted. Also
 * of a future without a type (hk_then, hk_submit, a promise) whose bytes are such a
 * result; panics when they are none, and when it is another function's. -EBADMSG: what
 * a worker process has sent is none. */
HK_API int hk_fn_await(hk_future *future, const hk_fn *fn, void *out);

HK_END_DECLS

/* ---- kinds of types ---- */

#ifdef __cplusplus

/* `copies`: a job can have a copy, byte by byte. `crosses`: also in another process. */
template <class T> struct hki_type {
    static const unsigned kind = HK_FIELD_PLAIN;
    static const bool copies = __is_trivially_copyable(T);
    static const bool crosses = copies;
};
template <class T> struct hki_type<const T> : hki_type<T> {
};
template <class T> struct hki_type<T *> {
    static const unsigned kind = HK_FIELD_PLAIN;
    static const bool copies = true;
    static const bool crosses = false;
};
template <class T> struct hki_type<T &> {
    static const unsigned kind = HK_FIELD_PLAIN;
    static const bool copies = false;
    static const bool crosses = false;
};
template <> struct hki_type<const char *> {
    static const unsigned kind = HK_FIELD_STR;
    static const bool copies = true;
    static const bool crosses = true;
};
template <> struct hki_type<hk_bytes> {
    static const unsigned kind = HK_FIELD_BYTES;
    static const bool copies = true;
    static const bool crosses = true;
};
#define HKI_KIND(T) hki_type<T>::kind
#define HKI_CROSSES(T) hki_type<T>::crosses
#define HKI_COPIES(T) hki_type<T>::copies
#define HKI_ALIGN(T) alignof(T)
#define HKI_STATIC_ASSERT static_assert

#else

/* Of a value of type T, which is not computed. */
#define HKI_KIND(T)                                                                    \
    _Generic(*(T *)0, hk_bytes                                                         \
             : HK_FIELD_BYTES, const char *                                            \
             : HK_FIELD_STR, default                                                   \
             : HK_FIELD_PLAIN)
enum { HKI_CLASS_POINTER = 5 }; /* of the compilers: pointer_type_class */
#define HKI_CROSSES(T)                                                                 \
    (__builtin_classify_type(*(T *)0) != HKI_CLASS_POINTER ||                          \
     HKI_KIND(T) == HK_FIELD_STR)
#define HKI_COPIES(T) 1
#define HKI_ALIGN(T) _Alignof(T)
#define HKI_STATIC_ASSERT _Static_assert

#endif

enum { HKI_ALIGN_MAX = 16 }; /* of what the library stores for a job */
#define HKI_CHECK_ALIGN(T, what)                                                       \
    HKI_STATIC_ASSERT(HKI_ALIGN(T) <= (size_t)HKI_ALIGN_MAX,                           \
                      "HK_FN: " what " is aligned to more than 16 bytes");

/* What a job may take, by where it runs: CROSS, or STAY for HK_FN_LOCAL. */
#define HKI_CHECK_CROSS(T, what)                                                       \
    HKI_CHECK_ALIGN(T, what)                                                           \
    HKI_STATIC_ASSERT(HKI_CROSSES(T),                                                  \
                      "HK_FN: " what " is a pointer, which means nothing in another "  \
                      "process; take hk_bytes or hk_str, or use HK_FN_LOCAL");
#define HKI_CHECK_STAY(T, what)                                                        \
    HKI_CHECK_ALIGN(T, what)                                                           \
    HKI_STATIC_ASSERT(HKI_COPIES(T), "HK_FN_LOCAL: " what " cannot be copied byte by " \
                                     "byte for the job; take a pointer to it");

/* ---- lists of arguments ---- */

/* clang-format off */

#define HKI_JOIN(a, b) HKI_JOIN_(a, b)
#define HKI_JOIN_(a, b) a##b
#define HKI_CALL(macro, ...) macro(__VA_ARGS__)
#define HKI_BARE(...) __VA_ARGS__
#define HKI_COMMA() ,
#define HKI_NOTHING()

/* Of (result, name, ...): how many more there are: NONE, or 1 to 8. */
#define HKI_ARGC(...) HKI_ARGC_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, NONE, ~)
#define HKI_ARGC_(r, f, a1, a2, a3, a4, a5, a6, a7, a8, n, ...) n

/* m(f, T, a) for each (T, a), with s() in between; without any, m_NONE. */
#define HKI_EACH(n, m, f, s, ...) HKI_JOIN(HKI_EACH_, n)(m, f, s, __VA_ARGS__)
#define HKI_EACH_NONE(m, f, s, ...) m##_NONE
#define HKI_EACH_1(m, f, s, t, ...) HKI_CALL(m, f, HKI_BARE t)
#define HKI_EACH_2(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_1(m, f, s, __VA_ARGS__)
#define HKI_EACH_3(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_2(m, f, s, __VA_ARGS__)
#define HKI_EACH_4(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_3(m, f, s, __VA_ARGS__)
#define HKI_EACH_5(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_4(m, f, s, __VA_ARGS__)
#define HKI_EACH_6(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_5(m, f, s, __VA_ARGS__)
#define HKI_EACH_7(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_6(m, f, s, __VA_ARGS__)
#define HKI_EACH_8(m, f, s, t, ...) \
    HKI_EACH_1(m, f, s, t, ) s() HKI_EACH_7(m, f, s, __VA_ARGS__)

#define HKI_COUNT_NONE 0
#define HKI_COUNT_1 1
#define HKI_COUNT_2 2
#define HKI_COUNT_3 3
#define HKI_COUNT_4 4
#define HKI_COUNT_5 5
#define HKI_COUNT_6 6
#define HKI_COUNT_7 7
#define HKI_COUNT_8 8

#define HKI_PARAM(f, T, a) T a
#define HKI_PARAM_NONE void
#define HKI_NEXT_PARAM(f, T, a) , T a
#define HKI_NEXT_PARAM_NONE
#define HKI_MEMBER(f, T, a) T a;
#define HKI_MEMBER_NONE char hki_none;
#define HKI_VALUE(f, T, a) a
#define HKI_VALUE_NONE 0
#define HKI_PASS(f, T, a) hki_args->a
#define HKI_PASS_NONE
#define HKI_FIELD(f, T, a) \
    {(uint32_t)offsetof(struct f##_args, a), (uint32_t)sizeof(T), HKI_KIND(T)}
#define HKI_FIELD_NONE {0, 0, 0}
#define HKI_ARG_CROSS(f, T, a) HKI_CHECK_CROSS(T, "argument " #a)
#define HKI_ARG_CROSS_NONE
#define HKI_ARG_STAY(f, T, a) HKI_CHECK_STAY(T, "argument " #a)
#define HKI_ARG_STAY_NONE

/* ---- results: a VALUE, VOID, or an RC ---- */

/* With parentheses, so that `void *` is none of these. */
#define HKI_SHAPE(R) HKI_SECOND(HKI_SHAPE_##R (), VALUE, ~)
#define HKI_SHAPE_void() ~, VOID
#define HKI_SHAPE_hk_rc() ~, RC
#define HKI_SECOND(...) HKI_SECOND_(__VA_ARGS__)
#define HKI_SECOND_(a, b, ...) b

#define HKI_OUT_PARAM_VALUE(R) , R *hki_out
#define HKI_OUT_PARAM_VOID(R)
#define HKI_OUT_PARAM_RC(R)
#define HKI_OUT_VALUE hki_out
#define HKI_OUT_VOID 0
#define HKI_OUT_RC 0
#define HKI_PUT_VALUE(R) *(R *)hki_result =
#define HKI_PUT_VOID(R) (void)hki_result;
#define HKI_PUT_RC(R) *(hk_rc *)hki_result =
#define HKI_RESULT_VALUE(R) {0, (uint32_t)sizeof(R), HKI_KIND(R)}
#define HKI_RESULT_VOID(R) {0, 0, HK_FIELD_VOID}
#define HKI_RESULT_RC(R) {0, (uint32_t)sizeof(hk_rc), HK_FIELD_RC}
#define HKI_CHECK_RESULT_VALUE(where, R) HKI_JOIN(HKI_CHECK_, where)(R, "the result")
#define HKI_CHECK_RESULT_VOID(where, R)
#define HKI_CHECK_RESULT_RC(where, R)

/* ---- the whole ---- */

#define HKI_ON_CROSS hk_executor *hki_on
#define HKI_ON_STAY hk_local_executor hki_on
#define HKI_EXECUTOR_CROSS hki_on
#define HKI_EXECUTOR_STAY hki_on.executor
#define HKI_IS_LOCAL_CROSS 0
#define HKI_IS_LOCAL_STAY 1

/* The heads of its functions; the one that the program defines is the last. */
#define HKI_HEAD_AWAIT(shape, R, f) \
    int f##_await(hk_future *hki_future HKI_JOIN(HKI_OUT_PARAM_, shape)(R))
#define HKI_HEAD_FN(f) const hk_fn *f##_fn(void)
#define HKI_HEAD_ON(n, where, f, ...) \
    hk_future *f##_on(HKI_JOIN(HKI_ON_, where) \
                      HKI_EACH(n, HKI_NEXT_PARAM, f, HKI_NOTHING, __VA_ARGS__))
#define HKI_HEAD_MAP(where, shape, R, f) \
    int f##_map(HKI_JOIN(HKI_ON_, where), const struct f##_args *hki_args, \
                size_t hki_count HKI_JOIN(HKI_OUT_PARAM_, shape)(R), \
                const hk_map_options *hki_options)
#define HKI_HEAD(n, R, f, ...) R f(HKI_EACH(n, HKI_PARAM, f, HKI_COMMA, __VA_ARGS__))

#define HKI_DECLARE(n, where, shape, R, f, ...) \
    HKI_HEAD_AWAIT(shape, R, f); \
    HKI_HEAD_FN(f); \
    HKI_HEAD_ON(n, where, f, __VA_ARGS__); \
    HKI_HEAD(n, R, f, __VA_ARGS__)

#define HKI_DEFINE(n, where, shape, R, f, ...) \
    HKI_DECLARE(n, where, shape, R, f, __VA_ARGS__); \
    HKI_JOIN(HKI_CHECK_RESULT_, shape)(where, R) \
    HKI_EACH(n, HKI_JOIN(HKI_ARG_, where), f, HKI_NOTHING, __VA_ARGS__) \
    struct f##_args { \
        HKI_EACH(n, HKI_MEMBER, f, HKI_NOTHING, __VA_ARGS__) \
    }; \
    HKI_HEAD_MAP(where, shape, R, f); \
    static void f##_hki_call(void *hki_from, void *hki_result) \
    { \
        struct f##_args *hki_args = (struct f##_args *)hki_from; \
        (void)hki_args; \
        HKI_JOIN(HKI_PUT_, shape)(R) \
            f(HKI_EACH(n, HKI_PASS, f, HKI_COMMA, __VA_ARGS__)); \
    } \
    static hk_fn f##_hki_fn = { \
        #f, \
        f##_hki_call, \
        (uint32_t)sizeof(struct f##_args), \
        HKI_JOIN(HKI_COUNT_, n), \
        HKI_JOIN(HKI_IS_LOCAL_, where), \
        HKI_JOIN(HKI_RESULT_, shape)(R), \
        {HKI_EACH(n, HKI_FIELD, f, HKI_COMMA, __VA_ARGS__)}, \
        0, \
        0, \
        {0, 0}}; \
    __attribute__((constructor)) static void f##_hki_register(void) \
    { \
        hk_fn_register(&f##_hki_fn); \
    } \
    __attribute__((destructor)) static void f##_hki_unregister(void) \
    { \
        hk_fn_unregister(&f##_hki_fn); \
    } \
    HKI_HEAD_FN(f) \
    { \
        return &f##_hki_fn; \
    } \
    HKI_HEAD_ON(n, where, f, __VA_ARGS__) \
    { \
        struct f##_args hki_args = { \
            HKI_EACH(n, HKI_VALUE, f, HKI_COMMA, __VA_ARGS__)}; \
        return hk_fn_start(HKI_JOIN(HKI_EXECUTOR_, where), &f##_hki_fn, &hki_args); \
    } \
    HKI_HEAD_AWAIT(shape, R, f) \
    { \
        return hk_fn_await(hki_future, &f##_hki_fn, HKI_JOIN(HKI_OUT_, shape)); \
    } \
    HKI_HEAD_MAP(where, shape, R, f) \
    { \
        return hk_fn_map(HKI_JOIN(HKI_EXECUTOR_, where), &f##_hki_fn, hki_args, \
                         hki_count, HKI_JOIN(HKI_OUT_, shape), hki_options); \
    } \
    HKI_HEAD(n, R, f, __VA_ARGS__)

/* The shape of R is looked at here, before R is expanded. The empty last argument is
 * for functions without arguments: there is something after f in any case. */
#define HKI_WITH_SHAPE(make, n, where, R, ...) \
    HKI_MAKE(make, n, where, HKI_SHAPE(R), R, __VA_ARGS__)
#define HKI_MAKE(make, ...) make(__VA_ARGS__)

#define HK_FN(...) \
    HKI_WITH_SHAPE(HKI_DEFINE, HKI_ARGC(__VA_ARGS__), CROSS, __VA_ARGS__, )
#define HK_FN_DECL(...) \
    HKI_WITH_SHAPE(HKI_DECLARE, HKI_ARGC(__VA_ARGS__), CROSS, __VA_ARGS__, )
#define HK_FN_LOCAL(...) \
    HKI_WITH_SHAPE(HKI_DEFINE, HKI_ARGC(__VA_ARGS__), STAY, __VA_ARGS__, )
#define HK_FN_LOCAL_DECL(...) \
    HKI_WITH_SHAPE(HKI_DECLARE, HKI_ARGC(__VA_ARGS__), STAY, __VA_ARGS__, )

/* clang-format on */

#endif
