// A bytecode interpreter: one big switch in a loop, with calls in its cases; and a small Forth-like compiler.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { PUSH, ADD, SUB, MUL, DUP, SWAP, OVER, DROP, JUMP, BRANCH, CALL, RETURN, LOAD, STORE, LESS, EQUAL, MOD,
       EMIT, NATIVE, XOR, SHIFT, HALT };

static int32_t code[512];
static int size;
static int32_t cells[256];
static uint32_t emitted = 1;
static long executed;

static void put(int operation, int32_t operand) {
  code[size++] = operation;
  code[size++] = operand;
}

static int32_t native(int32_t a) {
  int32_t sum = 0;
  for (int32_t n = 1; n <= (a & 31); n++) if (a % n == 0) sum += n;
  return sum;
}

__attribute__((noinline)) static void emit(int32_t value) { emitted = (emitted ^ (uint32_t)value) * 16777619u; }

static int32_t run(int pc, int depth) {
  int32_t stack[64];
  int32_t returns[32];
  int top = 0, rtop = 0;
  for (;;) {
    int32_t operand = code[pc + 1];
    executed++;
    switch (code[pc]) {
      case PUSH: stack[top++] = operand; break;
      case ADD: top--; stack[top - 1] += stack[top]; break;
      case SUB: top--; stack[top - 1] -= stack[top]; break;
      case MUL: top--; stack[top - 1] = (int32_t)((uint32_t)stack[top - 1] * (uint32_t)stack[top]); break;
      case DUP: stack[top] = stack[top - 1]; top++; break;
      case SWAP: { int32_t t = stack[top - 1]; stack[top - 1] = stack[top - 2]; stack[top - 2] = t; break; }
      case OVER: stack[top] = stack[top - 2]; top++; break;
      case DROP: top--; break;
      case JUMP: pc = operand; continue;
      case BRANCH: if (stack[--top] == 0) { pc = operand; continue; } break;
      case CALL: returns[rtop++] = pc + 2; pc = operand; continue;
      case RETURN:
        if (rtop == 0) return stack[top - 1];
        pc = returns[--rtop];
        continue;
      case LOAD: stack[top++] = cells[operand & 255]; break;
      case STORE: cells[operand & 255] = stack[--top]; break;
      case LESS: top--; stack[top - 1] = stack[top - 1] < stack[top]; break;
      case EQUAL: top--; stack[top - 1] = stack[top - 1] == stack[top]; break;
      case MOD: top--; stack[top - 1] %= stack[top] == 0 ? 1 : stack[top]; break;
      case EMIT: emit(stack[--top]); break;
      case NATIVE: stack[top - 1] = native(stack[top - 1]) + (depth < 3 ? run(operand, depth + 1) : depth); break;
      case XOR: top--; stack[top - 1] ^= stack[top]; break;
      case SHIFT: stack[top - 1] = (int32_t)((uint32_t)stack[top - 1] << (operand & 31)); break;
      case HALT: return top > 0 ? stack[top - 1] : 0;
      default: abort();
    }
    pc += 2;
  }
}

int main(void) {
  // A word that is run again from inside: cell 7 counts, the result depends on it.
  int word = size;
  put(LOAD, 7); put(PUSH, 13); put(ADD, 0); put(DUP, 0); put(STORE, 7); put(NATIVE, 0); put(RETURN, 0);
  code[word + 11] = word;
  // square-and-add: ( a -- a*a+a )
  int square = size;
  put(DUP, 0); put(DUP, 0); put(MUL, 0); put(ADD, 0); put(RETURN, 0);
  int main_word = size;
  put(PUSH, 0); put(STORE, 0);
  int head = size;
  put(LOAD, 0); put(PUSH, 120); put(LESS, 0);
  int exit_branch = size;
  put(BRANCH, 0);
  put(LOAD, 0); put(CALL, square); put(LOAD, 1); put(XOR, 0); put(SHIFT, 1); put(DUP, 0); put(STORE, 1); put(EMIT, 0);
  put(LOAD, 0); put(PUSH, 7); put(MOD, 0); put(PUSH, 3); put(EQUAL, 0);
  int skip = size;
  put(BRANCH, 0);
  put(LOAD, 0); put(NATIVE, word); put(LOAD, 1); put(SWAP, 0); put(SUB, 0); put(STORE, 1);
  code[skip + 1] = size;
  put(LOAD, 0); put(PUSH, 1); put(ADD, 0); put(STORE, 0); put(JUMP, head);
  code[exit_branch + 1] = size;
  put(LOAD, 1); put(HALT, 0);
  int32_t result = run(main_word, 0);
  printf("result %d, emitted %08x, %ld instructions, cell %d\n", result, emitted, executed, cells[7]);
  return (int)(emitted % 100);
}
