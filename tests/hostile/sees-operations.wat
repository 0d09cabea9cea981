;; Plans commands, and imports what only policies are given. Its plan is `list`; it is the answer at 1,024: argv, message and
;; details, after what says that it isn't a failure.
(module
  (import "bootc-image:policy/operations@0.1.0" "[method]operation.kind" (func $kind (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (data (i32.const 512) "list")
  ;; A text's place and length, and a list of it alone.
  (data (i32.const 600) "\00\02\00\00\04\00\00\00")
  (data (i32.const 1028) "\58\02\00\00\01\00\00\00")
  (func (export "bootc-image:command/commands@0.1.0#plan-run") (param i32 i32 i32 i32) (result i32)
    (i32.const 1024)))
