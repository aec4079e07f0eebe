/** Smallest first: what is due next, without looking at what is not. A binary heap. */
export type Deadlines<Item> = {
  readonly add: (atMs: number, item: Item) => void;
  readonly nextMs: () => number | undefined;
  /** Takes out everything due at `nowMs`, earliest first. */
  readonly takeDue: (nowMs: number) => readonly Item[];
};

export const createDeadlines = <Item>(): Deadlines<Item> => {
  type Node = { readonly atMs: number; readonly item: Item };
  const heap: Node[] = [];
  const at = (index: number): number => heap[index]?.atMs ?? Number.POSITIVE_INFINITY;
  const swap = (one: number, other: number): void => {
    const node = heap[one];
    const with_ = heap[other];
    if (node === undefined || with_ === undefined) return;
    heap[one] = with_;
    heap[other] = node;
  };

  const add = (atMs: number, item: Item): void => {
    let index = heap.push({ atMs, item }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (at(parent) <= at(index)) return;
      swap(parent, index);
      index = parent;
    }
  };

  const takeFirst = (): Node | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return first;
    heap[0] = last;
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      const smaller = at(left + 1) < at(left) ? left + 1 : left;
      if (at(index) <= at(smaller)) return first;
      swap(index, smaller);
      index = smaller;
    }
  };

  return {
    add,
    nextMs: () => heap[0]?.atMs,
    takeDue: (nowMs) => {
      const due: Item[] = [];
      while (at(0) <= nowMs) {
        const node = takeFirst();
        if (node === undefined) break;
        due.push(node.item);
      }
      return due;
    },
  };
};
