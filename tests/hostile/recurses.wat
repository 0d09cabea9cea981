;; Calls itself for as long as there is stack; each call has something to remember.
(module
  (import "bootc-image:policy/operations@0.1.0" "[resource-drop]operation" (func $drop (param i32)))
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (func $deeper (param $a i64) (param $b i64) (result i64)
    (i64.add (local.get $b)
      (i64.mul (local.get $a)
        (call $deeper (i64.add (local.get $a) (i64.const 3)) (i64.mul (local.get $b) (i64.const 5))))))
  (func (export "bootc-image:policy/validate@0.1.0#evaluate") (param $operation i32) (result i32)
    (call $drop (local.get $operation))
    (i32.wrap_i64 (call $deeper (i64.const 1) (i64.const 2)))
    (drop)
    (i32.const 0)))
